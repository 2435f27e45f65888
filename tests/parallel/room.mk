# How ranks share a model: programs that run by themselves (one rank), and by scripts under mpirun.
