"""Scores of images, over features of a network that is named and hashed."""

from pseudovideo.metrics.features import FeatureNetwork
from pseudovideo.metrics.networks import networks_for
from pseudovideo.metrics.scoring import score
from pseudovideo.metrics.trained import get_feature_network

__all__ = ["FeatureNetwork", "get_feature_network", "networks_for", "score"]
