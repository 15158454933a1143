"""Students and teachers as Hugging Face models, what they cost, and what a forward pass exposes."""
