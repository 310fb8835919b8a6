"""What is said of a RecModel: status, conditions, Events, explanations. Pure: a frozen snapshot in, values out."""
