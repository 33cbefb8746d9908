"""The file that joins computing and drawing, and the journal from which it is rebuilt: numpy and h5py, no torch."""
