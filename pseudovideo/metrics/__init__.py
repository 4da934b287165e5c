"""Scores of images, over features of a network that is named and hashed."""

from pseudovideo.metrics.features import FeatureNetwork, get_feature_network
from pseudovideo.metrics.scoring import score

__all__ = ["FeatureNetwork", "get_feature_network", "score"]
