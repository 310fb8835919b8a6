"""What the demo leaves behind: one picture and one page of a run, every figure measured in that run."""
