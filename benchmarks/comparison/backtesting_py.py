import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from backtesting.test import SMA


class Cross(Strategy):
    fast, slow = 20, 50

    def init(self):
        self.short = self.I(SMA, self.data.Close, self.fast)
        self.long = self.I(SMA, self.data.Close, self.slow)

    def next(self):
        if crossover(self.short, self.long):
            self.position.close()
            self.buy()
        elif crossover(self.long, self.short):
            self.position.close()
            self.sell()


prices = pd.read_csv("prices.csv", index_col="time", parse_dates=True)
prices.columns = ["Open", "High", "Low", "Close", "Volume"]
test = Backtest(prices, Cross, cash=100_000, commission=0.0005, finalize_trades=True)
print(test.optimize(fast=[10, 20, 30], slow=[50, 100, 150], maximize="Sharpe Ratio"))
test.plot(open_browser=False)
