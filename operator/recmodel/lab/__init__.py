"""The lab: a request-level simulator, the baselines it compares with, and the backtest. It uses the core, never the other way round."""
