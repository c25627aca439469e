"""Analyses of representations: labelled arrays in, labelled findings out."""
