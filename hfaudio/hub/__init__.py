"""What a model needs to stand on the Hub: its card."""

from hfaudio.hub.model_card import CardFacts, write_model_card

__all__ = ["CardFacts", "write_model_card"]
