"""The documents of Bybit v5, as a stand-in venue fills them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.operations.stand_in.exchange import HALF_SPREAD

if TYPE_CHECKING:
    from decimal import Decimal

    from trading_runtime.operations.stand_in.exchange import Execution, HeldOrder

type Json = dict[str, Any]


def ticker_json(symbol: str, price: Decimal, size: str, now: int) -> Json:
    """Return a symbol's prices as Bybit states it."""
    text = str(price)
    return {
        "symbol": symbol,
        "tickDirection": "PlusTick",
        "price24hPcnt": "0.01",
        "lastPrice": text,
        "prevPrice24h": text,
        "highPrice24h": text,
        "lowPrice24h": text,
        "prevPrice1h": text,
        "markPrice": text,
        "indexPrice": text,
        "openInterest": "1",
        "openInterestValue": "1",
        "turnover24h": "1",
        "volume24h": "1",
        "nextFundingTime": str(now + 1_000_000),
        "fundingRate": "0.0001",
        "bid1Price": str(price - HALF_SPREAD),
        "bid1Size": size,
        "ask1Price": str(price + HALF_SPREAD),
        "ask1Size": size,
    }


def order_json(order: HeldOrder) -> Json:
    """Return an order as Bybit states it."""
    is_cancelled = order.status == "Cancelled"
    return _ORDER | {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderLinkId": order.link_id,
        "side": order.side,
        "orderStatus": order.status,
        "cancelType": "CancelByUser" if is_cancelled else "UNKNOWN",
        "timeInForce": order.time_in_force,
        "price": str(order.price),
        "qty": str(order.quantity),
        "avgPrice": str(order.average) if order.filled else "",
        "leavesQty": "0" if is_cancelled else str(order.left),
        "cumExecQty": str(order.filled),
        "cumExecValue": str(order.filled * order.average),
        "orderType": order.type,
        "reduceOnly": order.reduce_only,
        "createdTime": str(order.created),
        "updatedTime": str(order.updated),
    }


def execution_json(execution: Execution) -> Json:
    """Return a fill as Bybit states it."""
    order = execution.order
    return {
        "category": "linear",
        "symbol": order.symbol,
        "closedSize": "",
        "execFee": str(execution.fee),
        "execId": execution.id,
        "execPrice": str(execution.price),
        "execQty": str(execution.quantity),
        "execType": "Trade",
        "execValue": str(execution.price * execution.quantity),
        "feeRate": "0.00055",
        "tradeIv": "",
        "markIv": "",
        "blockTradeId": "",
        "markPrice": str(execution.price),
        "indexPrice": "",
        "underlyingPrice": "",
        "leavesQty": str(execution.left),
        "orderId": order.id,
        "orderLinkId": order.link_id,
        "orderPrice": str(order.price),
        "orderQty": str(order.quantity),
        "orderType": order.type,
        "stopOrderType": "UNKNOWN",
        "side": order.side,
        "execTime": str(execution.at),
        "isLeverage": "0",
        "isMaker": execution.is_maker,
        "seq": execution.number,
        "marketUnit": "",
        "createType": "CreateByUser",
        "execPnl": "0",
        "feeCurrency": "USDT",
        "extraFees": "",
    }


def wallet_json(wallet: Decimal) -> Json:
    """Return what the account holds as Bybit states it."""
    amount = f"{wallet:.8f}"
    sums = "totalEquity totalMarginBalance totalAvailableBalance totalWalletBalance"
    nothing = (
        "accountIMRate totalInitialMargin accountMMRate totalPerpUPL accountLTV "
        "totalMaintenanceMargin accountIMRateByMp accountMMRateByMp totalInitialMarginByMp "
        "totalMaintenanceMarginByMp"
    )
    zeros = (
        "bonus accruedInterest totalOrderIM totalPositionMM spotHedgingQty unrealisedPnl "
        "borrowAmount totalPositionIM cumRealisedPnl locked"
    )
    coin = {
        "coin": "USDT",
        "availableToBorrow": "",
        "availableToWithdraw": amount,
        "equity": amount,
        "usdValue": amount,
        "walletBalance": amount,
        "collateralSwitch": True,
        "marginCollateral": True,
        **dict.fromkeys(zeros.split(), "0"),
    }
    return {
        "accountType": "UNIFIED",
        **dict.fromkeys(sums.split(), amount),
        **dict.fromkeys(nothing.split(), "0"),
        "coin": [coin],
    }


def instrument_json(symbol: str) -> Json:
    """Return a symbol's terms as Bybit states it."""
    return {
        "symbol": symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": symbol.removesuffix("USDT"),
        "quoteCoin": "USDT",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1190.000",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
            "postOnlyMaxOrderQty": "1190.000",
            "maxMktOrderQty": "119.000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": "USDT",
        "copyTrading": "both",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "displayName": "",
        "symbolType": "innovation",
        "forbidUplWithdrawal": False,
    }


_ORDER: Json = {
    "category": "linear",
    "blockTradeId": "",
    "positionIdx": 0,
    "rejectReason": "EC_NoError",
    "isLeverage": "",
    "leavesValue": "0",
    "cumExecFee": "0",
    "stopOrderType": "",
    "orderIv": "",
    "triggerPrice": "",
    "takeProfit": "",
    "stopLoss": "",
    "triggerBy": "",
    "tpTriggerBy": "",
    "slTriggerBy": "",
    "triggerDirection": 0,
    "placeType": "",
    "lastPriceOnCreated": "",
    "closeOnTrigger": False,
    "smpGroup": 0,
    "smpType": "None",
    "smpOrderId": "",
    "slLimitPrice": "0",
    "tpLimitPrice": "0",
    "tpslMode": "UNKNOWN",
    "createType": "CreateByUser",
    "marketUnit": "",
    "feeCurrency": "",
    "closedPnl": "0",
}
POSITION: Json = {
    "category": "linear",
    "positionIdx": 0,
    "riskId": 1,
    "riskLimitValue": "2000000",
    "tradeMode": 0,
    "positionStatus": "Normal",
    "autoAddMargin": 0,
    "adlRankIndicator": 0,
    "leverage": "10",
    "tpslMode": "Full",
    "liqPrice": "",
    "bustPrice": "",
    "sessionAvgPrice": "",
    "isReduceOnly": False,
    "mmrSysUpdatedTime": "",
    "leverageSysUpdatedTime": "",
    "positionBalance": "0",
    "positionMM": "0",
    "positionIM": "0",
    "positionIMByMp": "0",
    "positionMMByMp": "0",
    "takeProfit": "0",
    "stopLoss": "0",
    "trailingStop": "0",
    "unrealisedPnl": "0",
    "curRealisedPnl": "0",
    "cumRealisedPnl": "0",
}
ACCOUNT: Json = {
    "unifiedMarginStatus": 5,
    "marginMode": "REGULAR_MARGIN",
    "isMasterTrader": False,
    "spotHedgingStatus": "OFF",
    "dcpStatus": "OFF",
    "timeWindow": 0,
    "smpGroup": 0,
}
KEY: Json = {
    "id": "1",
    "note": "",
    "apiKey": "K",
    "readOnly": 0,
    "secret": "",
    "permissions": {},
    "ips": ["*"],
    "type": 1,
    "deadlineDay": 83,
    "expiredAt": "2030-01-01T00:00:00Z",
    "createdAt": "2024-01-01T00:00:00Z",
    "unified": 0,
    "uta": 1,
    "userID": 1,
    "inviterID": 0,
    "vipLevel": "No VIP",
    "mktMakerLevel": "0",
    "affiliateID": 0,
    "rsaPublicKey": "",
    "isMaster": True,
    "parentUid": "0",
    "kycLevel": "",
    "kycRegion": "",
}
