;; What Go's runtime asks of WASI, answered here, so that the component imports none of it: no
;; arguments, no environment, no files; a clock that stands still, waiting that is over at once, and
;; seeds that are always the same.
(module
  (import "env" "memory" (memory 0))

  (func (export "args_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (func (export "args_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "environ_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (func (export "environ_get") (param i32 i32) (result i32) (i32.const 0))

  ;; Not 0, which Go's runtime takes for a clock that is broken.
  (func (export "clock_time_get") (param $clock i32) (param i64) (param $time i32) (result i32)
    (i64.store (local.get $time) (i64.const 1))
    (i32.const 0))
  (func (export "adapter_monotonic_clock_set_paused") (param i32))
  (func (export "random_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; Nothing happened.
  (func (export "poll_oneoff") (param i32 i32 i32) (param $events i32) (result i32)
    (i32.store (local.get $events) (i32.const 0))
    (i32.const 0))

  ;; Who ends the process ends the sandbox.
  (func (export "proc_exit") (param i32) (unreachable))

  ;; 8: no such file.
  (func (export "fd_write") (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
)
