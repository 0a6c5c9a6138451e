;; WASI preview 1 for a Go program, on what a brrr host grants: output, the clocks, random numbers, and the end of the
;; program. There is no file, argument, environment variable or socket.
;;
;; The adapter that comes with wasmtime calls `cabi_realloc` of the program while that is not up yet, which a Go program
;; can't answer. This one needs no memory but a few bytes that Go leaves free: its linker puts nothing below 12288, and
;; only the JavaScript target uses what lies above 4096.
(module
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get_stdout (result i32)))
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $get_stderr (result i32)))
  (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall_now (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic_now (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop_pollable (param i32)))
  (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
  (import "env" "memory" (memory 0))

  ;; Where the host puts what is more than one number.
  (global $scratch i32 (i32.const 64))
  ;; 0: not asked for yet. The host counts its handles from 1.
  (global $stdout (mut i32) (i32.const 0))
  (global $stderr (mut i32) (i32.const 0))

  ;; A program may not call the host while the host passes it a value (in `cabi_realloc`), and Go reads its clock
  ;; whenever it schedules or collects. While the clock is held, it shows what it showed last; it is held until the
  ;; program lets it go. It never shows 0, which Go takes for a broken clock.
  (global $held (mut i32) (i32.const 1))
  (global $monotonic (mut i64) (i64.const 1))
  (global $wall (mut i64) (i64.const 1))
  (func (export "hold_clock") (param $hold i32)
    (global.set $held (local.get $hold)))

  ;; The clock of this number (0: wall, else monotonic), in nanoseconds.
  (func $now (param $id i32) (result i64)
    (if (global.get $held)
      (then (return (select (global.get $monotonic) (global.get $wall) (local.get $id)))))
    (if (local.get $id)
      (then
        (global.set $monotonic (call $monotonic_now))
        (return (global.get $monotonic))))
    (call $wall_now (global.get $scratch))
    (global.set $wall
      (i64.add
        (i64.mul (i64.load (global.get $scratch)) (i64.const 1000000000))
        (i64.load32_u offset=8 (global.get $scratch))))
    (global.get $wall))

  (func (export "clock_time_get") (param $id i32) (param $precision i64) (param $time i32) (result i32)
    (i64.store (local.get $time) (call $now (local.get $id)))
    (i32.const 0))
  (func (export "clock_res_get") (param $id i32) (param $resolution i32) (result i32)
    (i64.store (local.get $resolution) (i64.const 1))
    (i32.const 0))

  (func (export "random_get") (param $at i32) (param $length i32) (result i32)
    (local $number i64)
    (block $done
      (loop $numbers
        (br_if $done (i32.lt_u (local.get $length) (i32.const 8)))
        (i64.store align=1 (local.get $at) (call $random))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $length (i32.sub (local.get $length) (i32.const 8)))
        (br $numbers)))
    (if (i32.eqz (local.get $length)) (then (return (i32.const 0))))
    (local.set $number (call $random))
    (loop $bytes
      (i64.store8 (local.get $at) (local.get $number))
      (local.set $number (i64.shr_u (local.get $number) (i64.const 8)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $bytes (local.tee $length (i32.sub (local.get $length) (i32.const 1)))))
    (i32.const 0))

  ;; The stream of a file descriptor; 0 where it has none.
  (func $stream (param $fd i32) (result i32)
    (if (i32.eq (local.get $fd) (i32.const 1))
      (then
        (if (i32.eqz (global.get $stdout)) (then (global.set $stdout (call $get_stdout))))
        (return (global.get $stdout))))
    (if (i32.eq (local.get $fd) (i32.const 2))
      (then
        (if (i32.eqz (global.get $stderr)) (then (global.set $stderr (call $get_stderr))))
        (return (global.get $stderr))))
    (i32.const 0))

  (func (export "fd_write") (param $fd i32) (param $pieces i32) (param $count i32) (param $written i32) (result i32)
    (local $stream i32) (local $at i32) (local $left i32) (local $length i32) (local $total i32)
    (local.set $stream (call $stream (local.get $fd)))
    (if (i32.eqz (local.get $stream)) (then (return (i32.const 8)))) ;; EBADF
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $at (i32.load (local.get $pieces)))
        (local.set $left (i32.load offset=4 (local.get $pieces)))
        (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (loop $piece
          (br_if $next (i32.eqz (local.get $left)))
          ;; WASI takes 4096 bytes at a time.
          (local.set $length
            (select (local.get $left) (i32.const 4096) (i32.lt_u (local.get $left) (i32.const 4096))))
          (call $write (local.get $stream) (local.get $at) (local.get $length) (global.get $scratch))
          (if (i32.load8_u (global.get $scratch)) (then (return (i32.const 29)))) ;; EIO
          (local.set $total (i32.add (local.get $total) (local.get $length)))
          (local.set $at (i32.add (local.get $at) (local.get $length)))
          (local.set $left (i32.sub (local.get $left) (local.get $length)))
          (br $piece))))
    (i32.store (local.get $written) (local.get $total))
    (i32.const 0))

  ;; How long a subscription has to wait; for ever where it is not for a clock.
  (func $wait (param $subscription i32) (result i64)
    (local $timeout i64) (local $now i64)
    (if (i32.load8_u offset=8 (local.get $subscription)) (then (return (i64.const -1))))
    (local.set $timeout (i64.load offset=24 (local.get $subscription)))
    ;; Bit 0: a point in time.
    (if (i32.eqz (i32.and (i32.load16_u offset=40 (local.get $subscription)) (i32.const 1)))
      (then (return (local.get $timeout))))
    (local.set $now (call $now (i32.load offset=16 (local.get $subscription))))
    (select
      (i64.sub (local.get $timeout) (local.get $now))
      (i64.const 0)
      (i64.gt_u (local.get $timeout) (local.get $now))))

  ;; Waits for the clock whose time comes first, and says so of that one. With only files to wait for there is nothing
  ;; that could ever come.
  (func (export "poll_oneoff")
    (param $subscriptions i32) (param $events i32) (param $count i32) (param $came i32) (result i32)
    (local $first i32) (local $shortest i64) (local $wait i64) (local $pollable i32)
    (local.set $shortest (i64.const -1))
    (block $done
      (loop $each
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $wait (call $wait (local.get $subscriptions)))
        (if (i64.lt_u (local.get $wait) (local.get $shortest))
          (then
            (local.set $shortest (local.get $wait))
            (local.set $first (local.get $subscriptions))))
        (local.set $subscriptions (i32.add (local.get $subscriptions) (i32.const 48)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $each)))
    (if (i32.eqz (local.get $first)) (then (return (i32.const 58)))) ;; ENOTSUP
    (if (i64.ne (local.get $shortest) (i64.const 0))
      (then
        (local.set $pollable (call $subscribe (local.get $shortest)))
        (call $block (local.get $pollable))
        (call $drop_pollable (local.get $pollable))))
    (i64.store (local.get $events) (i64.load (local.get $first)))
    (i64.store offset=8 (local.get $events) (i64.const 0))
    (i32.store (local.get $came) (i32.const 1))
    (i32.const 0))

  (func (export "proc_exit") (param $status i32)
    (call $exit (i32.ne (local.get $status) (i32.const 0)))
    unreachable)
  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; No arguments, no environment.
  (func $none (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $none))
  (export "environ_sizes_get" (func $none))
  (func (export "args_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "environ_get") (param i32 i32) (result i32) (i32.const 0))

  ;; Standard input, output and error are there, as character devices (2) that can be read from or written to; the input
  ;; is at its end.
  (func (export "fd_fdstat_get") (param $fd i32) (param $stat i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8)))) ;; EBADF
    (i64.store (local.get $stat) (i64.const 2))
    (i64.store offset=8 (local.get $stat) (i64.const 0x42)) ;; the rights fd_read (bit 1) and fd_write (bit 6)
    (i64.store offset=16 (local.get $stat) (i64.const 0))
    (i32.const 0))
  (func (export "fd_read") (param $fd i32) (param $pieces i32) (param $count i32) (param $read i32) (result i32)
    (if (local.get $fd) (then (return (i32.const 8)))) ;; EBADF
    (i32.store (local.get $read) (i32.const 0))
    (i32.const 0))

  ;; ENOENT: package time looks for time zones in several folders, and takes any other error for the reason why there is none.
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 44))

  ;; Everything else is for files and sockets: EBADF, as none is open.
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_datasync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_renumber") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_sync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_tell") (param i32 i32) (result i32) (i32.const 8))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 8)))
