"""From a shape back to the latent it could come from, and what follows from that."""
