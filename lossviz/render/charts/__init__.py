"""Figures that are no surface: spectra and barcodes."""
