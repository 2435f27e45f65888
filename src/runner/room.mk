nobase_pkginclude_HEADERS += src/runner/check.h src/runner/hook.h src/runner/log_processor.h src/runner/message_hub.h src/runner/run_log.h src/runner/runner.h src/runner/signals.h \
	src/runner/work_dir.h
libmuster_la_SOURCES += src/runner/call.c
libmuster_la_SOURCES += src/runner/check.c
nobase_pkginclude_HEADERS += src/runner/checkpoint.h
libmuster_la_SOURCES += src/runner/checkpoint.c src/runner/checkpoint.h src/runner/checkpoint_copy.c src/runner/checkpoint_find.c src/runner/checkpoint_impl.h \
	src/runner/checkpoint_load.c src/runner/checkpoint_resume.c src/runner/checkpoint_save.c src/runner/checkpoint_saver.c \
	src/runner/revise.c
libmuster_la_SOURCES += src/runner/device.c src/runner/explain.c src/runner/explain.h src/runner/failure.c src/runner/failure.h
libmuster_la_SOURCES += src/runner/history.c src/runner/history.h
libmuster_la_SOURCES += src/runner/hook.c
nobase_pkginclude_HEADERS += src/runner/hooks/hooks.h
libmuster_la_SOURCES += src/runner/hooks/checkpoint_hook.c src/runner/hooks/dist_sampler_seed_hook.c src/runner/hooks/early_stopping_hook.c src/runner/hooks/ema_hook.c src/runner/hooks/hooks.c src/runner/hooks/iter_timer_hook.c \
	src/runner/hooks/logger_hook.c src/runner/hooks/monitor.c src/runner/hooks/monitor.h src/runner/hooks/param_scheduler_hook.c \
	src/runner/hooks/runtime_info_hook.c src/runner/hooks/straggler.c src/runner/hooks/straggler.h src/runner/hooks/straggler_hook.c
libmuster_la_SOURCES += src/runner/log_processor.c
libmuster_la_SOURCES += src/runner/message_hub.c
libmuster_la_SOURCES += src/runner/run_log.c
libmuster_la_SOURCES += src/runner/signals.c
libmuster_la_SOURCES += src/runner/stop.c src/runner/stop.h
libmuster_la_SOURCES += src/runner/values.c src/runner/values.h
libmuster_la_SOURCES += src/runner/work_dir.c
libmuster_la_SOURCES += src/runner/build.c src/runner/build_model.c src/runner/build_optim.c src/runner/inspect.c src/runner/inspect.h src/runner/loop.h src/runner/mistake.c src/runner/mistake.h src/runner/own.h src/runner/run.c src/runner/runner.c
libmuster_la_SOURCES += src/runner/loops/epoch_based_train_loop.c src/runner/loops/eval_loop.c \
	src/runner/loops/iter_based_train_loop.c src/runner/loops/train_loop.c src/runner/loops/train_loop.h
libmuster_la_SOURCES += src/runner/network.c src/runner/network.h src/runner/network_read.c src/runner/measure.c src/runner/measure.h src/runner/predict.c src/runner/predict.h
