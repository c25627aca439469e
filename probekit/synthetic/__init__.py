"""Data and denoisers whose answers are known, to try analyses on before they meet a trained network.

`subspaces` makes representations on a union of sparse coordinate subspaces; `patch_model` is an image
distribution with an exactly known denoiser, representation and conditional law; `shapes` draws images
with named, graded factors, `ovals` images of ovals of one aspect. Each returns the truth as a labelled Dataset beside
the data.
`strategies` (needs hypothesis) draws all three for property-based tests.
"""
