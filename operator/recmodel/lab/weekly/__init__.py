"""A past that was measured, by the hour of the day: figures, sentences, an HTML page and a picture. Pure; nothing compiled."""
