nobase_pkginclude_HEADERS += src/optim/averaged_model.h src/optim/optim.h src/optim/scheduler.h src/optim/schedule_trace.h src/optim/wrapper.h
libmuster_la_SOURCES += src/optim/optim.c src/optim/adam.c src/optim/sgd.c \
	src/optim/scheduler.c src/optim/constant_lr.c src/optim/cosine_annealing_lr.c src/optim/exponential_lr.c \
	src/optim/linear_lr.c src/optim/multi_step_lr.c src/optim/poly_lr.c src/optim/step_lr.c src/optim/schedule_trace.c \
	src/optim/wrapper.c src/optim/paramwise.c src/optim/paramwise.h
libmuster_la_SOURCES += src/optim/averaged_model.c src/optim/exponential_moving_average.c src/optim/momentum_annealing_ema.c src/optim/moving_average.h \
	src/optim/stochastic_weight_average.c
