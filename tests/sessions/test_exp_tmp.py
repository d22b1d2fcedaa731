from tests.sessions.live_session import SYMBOL
from tests.sessions.small_session import ended, until
import signal, time
def test_x(live):
    live.order("rest 0.010 40000.0")
    process = live.connect()
    live.wait_for("order_accepted", process)
    live.protocol.refuses_requests = True
    t0 = time.time()
    live.order("buy 0.020")
    live.wait_for("order_rejected", process)
    until(lambda: time.time() - t0 > 12)
    for f in live.exchange.recorded("request"):
        if f.at > t0: print(round(f.at - t0, 3), f.about)
    live.protocol.refuses_requests = False
    code, text = ended(process, signal.SIGTERM)
    print(code, text)
