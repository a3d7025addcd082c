"""The progressive 3D GAN: layers, generator, discriminator, and how they grow."""
