"""
Tiny
====

A test.
"""

import matplotlib.pyplot as plt

import probekit

denoiser = probekit.load("photo32")
plt.plot([1, 2])
