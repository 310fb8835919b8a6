"""The model optimiser: quantise, prune, distil, measure, choose. Used by a command and a Job, never by the operator."""
