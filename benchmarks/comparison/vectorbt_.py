import pandas as pd
import vectorbt as vbt

close = pd.read_csv("prices.csv", index_col="time", parse_dates=True)["close"]
fast, slow = [10, 20, 30] * 3, [50] * 3 + [100] * 3 + [150] * 3
short = vbt.MA.run(close, fast, short_name="fast")
long = vbt.MA.run(close, slow, short_name="slow")
test = vbt.Portfolio.from_signals(
    close,
    entries=short.ma_crossed_above(long),
    short_entries=short.ma_crossed_below(long),
    init_cash=100_000,
    fees=0.0005,
    freq="1h",
)
print(test.sharpe_ratio())
best = test[test.sharpe_ratio().idxmax()]
print(best.stats())
best.plot().write_html("vectorbt.html")
