"""What measures firstmate: scenarios, retrieval questions, benchmarks, and the lab that runs them."""
