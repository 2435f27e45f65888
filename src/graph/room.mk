nobase_pkginclude_HEADERS += src/graph/autodiff.h src/graph/exchange.h src/graph/params.h src/graph/pass.h src/graph/plan.h \
	src/graph/plan_cache.h src/graph/print.h
libmuster_la_SOURCES += \
	src/graph/autodiff.c \
	src/graph/flat_kernel.c src/graph/flat_kernel.h \
	src/graph/offsets.c src/graph/offsets.h \
	src/graph/params.c src/graph/params_arena.c src/graph/params_impl.h src/graph/params_layout.c \
	src/graph/params_shard.c src/graph/params_value.c \
	src/graph/plan.c src/graph/plan_debug.c src/graph/plan_impl.h src/graph/plan_layout.c src/graph/plan_units.c \
	src/graph/plan_build.c src/graph/plan_copies.c src/graph/plan_gradients.c src/graph/plan_nodes.c src/graph/plan_steps.c src/graph/plan_store.c \
	src/graph/planner.h \
	src/graph/plan_cache.c \
	src/graph/print.c \
	src/graph/passes/autocast.c \
	src/graph/passes/fold_batch_norm.c \
	src/graph/passes/fuse.c src/graph/passes/fusion.h \
	src/graph/passes/fuse_batch_norm.c \
	src/graph/passes/fuse_chain.c \
	src/graph/passes/fuse_convolution.c \
	src/graph/passes/rewriter.c src/graph/passes/rewriter.h \
	src/graph/passes/simplify.c
