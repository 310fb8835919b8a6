"""What fails or is late at any load, so that replicas would not cure it: found by comparison, and not answered with growth."""
