"""Measure cell images: segmentation of nucleus and cell, features, augmentation."""
