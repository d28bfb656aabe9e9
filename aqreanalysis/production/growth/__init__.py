"""A cube that grows: what it says of its making, what of it stays, what is computed anew, what is added."""
