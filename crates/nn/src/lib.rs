//! Layers, losses, optimisers, initialisers and state dicts.
