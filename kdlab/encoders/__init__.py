"""What encoders are: their dimensions, families and layers, which all that touches them shares."""
