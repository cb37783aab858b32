"""Films made from what the caller hands in: pictures, clips and sounds."""
