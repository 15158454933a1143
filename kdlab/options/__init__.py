"""What one option of a group may say: its keys, its function, and the knobs of that function."""
