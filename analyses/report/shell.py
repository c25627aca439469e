"""The program `probekit`: what there is to be called is named here, and loaded when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analyses.running import ended

__all__ = ["ANALYSES", "COMMANDS", "main"]

# One line for each command, and where it is.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": (
        "Measure φ of the built-in photographs at every block of a trained denoiser, and draw what it shows.",
        "analyses.report.commands:demo",
    ),
    "models": ("List the bundled denoisers, with how well they denoise.", "probekit.cli.look:models"),
    "taps": (
        "List what can be tapped in a network: name, alias, map shape, calls, share of the work to reach it.",
        "probekit.cli.look:taps",
    ),
    "draw": (
        "Draw a network: blocks with tap names, map sizes and costs, and what feeds what.",
        "probekit.cli.look:draw",
    ),
    "phi": ("Write the representation φ of images to a file that xarray opens.", "probekit.cli.look:phi"),
    "check": (
        "Read a store through, and say what of it is whole: exit status 0 if all is, 1 if not.",
        "probekit.cli.look:check",
    ),
    "train": ("Train a denoiser and write its weights with a model card.", "probekit.cli.train:train"),
    "explore": (
        "Write a page in which a network can be looked at: its blocks, every channel, every image.",
        "analyses.explore.shell:command",
    ),
    "report": (
        "Measure a denoiser on images, run the analyses, judge the paper's claims, and write a report.",
        "analyses.report.commands:report",
    ),
    "judge": (
        "Judge the claims that need φ alone, of a network and its controls measured before, and write a report.",
        "analyses.report.commands:judge",
    ),
}
ANALYSES: Mapping[str, str] = {
    "sparsity": "How many channels share the activity of an image, at each tap and noise level.",
    "selectivity": "Which channels respond to nearly every image, and which to few.",
    "subspaces": "Look for a union of subspaces in φ.",
    "semantics": "Is distance in φ semantic: stability over noise, neighbours, correlations with other distances.",
    "clusters": "Whether images form groups in φ, how many, and whether these are classes.",
    "probe": "How much of the class a linear classifier reads from φ, at each tap and noise level.",
    "factors": "How a numeric factor, such as the aspect of ovals, lies in φ: correlations, how well it is read.",
    "descriptors": "Descriptors of images, as semantics compares φ with them: --others descriptors.nc.",
    "controls": "Does it need training? The same numbers for the trained denoiser and all that it is compared with.",
    "cues": "Texture or shape: which of the two an image shares with its nearest neighbour in φ, where they disagree.",
    "textures": "Whether φ is a texture descriptor: patches of one photograph lie together, nearer than by untrained "
    "twins.",
    "sampling": "Images sampled from p(x | φ) of images, and what they share.",
    "variants": "What each ingredient of conditional sampling does: match, variety, near copies, other blocks, "
    "untrained network.",
    "densities": "Whether distances in φ follow distances between the conditional densities.",
    "attribution": "Which pixels drive channels of a denoiser.",
    "concepts": "Whether selective channels are concepts: what samples with a few held share with the images that "
    "excite them.",
    "training": "What training does to blocks: sparsity, types of channel, robustness, neighbours, step by step.",
    "noise_level": "Whether a blind denoiser knows the noise level: its residual's against the true one, and along "
    "sampling.",
    "claims": "The paper's claims in several networks beside one another, from the claims.nc of their reports.",
    "generalisation": "Whether a denoiser has learnt its training images by heart: PSNR on both sets, near copies "
    "among samples.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program, and print the paths that it wrote, or in one line why it could not.

    Parameters
    ----------
    arguments
        Instead of the process's own.

    Returns
    -------
    int
        Exit status: 0; 1 after an error that the package raised; 2 after words that are none of the command's; 130
        after Ctrl-C.
    """
    return ended(lambda: _called(arguments), arguments)


def _called(arguments: Sequence[str] | None) -> Any:
    # Loaded here, where Ctrl-C is told in a line.
    from analyses.program import program_of

    rooms = {name: (said, f"analyses.{name}.shell:command") for name, said in ANALYSES.items()}
    analyse = ("Analyse φ, a network or samples: one command for each analysis.", rooms)
    return program_of("probekit", COMMANDS, analyse=analyse)(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
