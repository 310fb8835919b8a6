"""The lab: a request-level simulator, baselines, and the backtest. It uses the core, never the other way round."""
