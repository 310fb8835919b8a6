"""What a decision says of itself: the record of each model, its reasons in sentences, and what each part of its cost is for."""
