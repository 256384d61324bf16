"""The Inflated 3-D Inception network that FVD is defined on: network, weights, features."""
