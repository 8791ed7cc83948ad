"""The engines that run attempts: attempt, chain, race, route."""
