"""KEDA's external scaler: the decisions, served to the KEDA of a team that keeps it as what scales. Only where it is switched on."""
