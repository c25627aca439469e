"""The representation φ of sets of images: taps read over images, noise levels and draws, into memory or a store."""
