//! What an isolate uses, and whether it may go on.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jeju_worker_protocol::code;
use rquickjs::allocator::Allocator;

use super::clock::thread_cpu;

/// Why an isolate has to stop. It is thrown away then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Time on a CPU.
    Cpu,
    /// Time.
    Wall,
    /// Memory.
    Memory,
    /// Nobody wants the answer.
    Cancelled,
    /// Too long an answer.
    ResponseBody,
    /// Too long a request.
    RequestBody,
}

impl Stop {
    /// Stable code.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Stop::Cpu => code::CPU,
            Stop::Wall => code::TIMEOUT,
            Stop::Memory => code::MEMORY,
            Stop::Cancelled => code::CANCELLED,
            Stop::ResponseBody => code::RESPONSE_BODY,
            Stop::RequestBody => code::REQUEST_BODY,
        }
    }
}

/// An isolate's meter. The engine asks it every few thousand steps whether to go on.
pub(crate) struct Meter {
    used: Cell<usize>,
    limit: usize,
    stop: Cell<Option<Stop>>,
    /// Time of the thread at which the turn has used up what is left.
    cpu_end: Cell<Duration>,
    wall_end: Cell<Option<Instant>>,
    cancelled: Cell<Option<Arc<AtomicBool>>>,
}

impl Meter {
    /// For an isolate of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Rc<Self> {
        Rc::new(Self {
            used: Cell::new(0),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            stop: Cell::new(None),
            cpu_end: Cell::new(Duration::MAX),
            wall_end: Cell::new(None),
            cancelled: Cell::new(None),
        })
    }

    /// Memory in use, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.used.get()
    }

    /// Most memory, in bytes.
    pub(crate) fn memory_limit(&self) -> usize {
        self.limit
    }

    /// A turn starts on this thread, whose clock shows `cpu`. Whether the engine has to stop at once.
    pub(crate) fn start(
        &self,
        cpu: Duration,
        cpu_left: Duration,
        wall_end: Instant,
        cancelled: Arc<AtomicBool>,
    ) -> bool {
        self.cpu_end.set(cpu.saturating_add(cpu_left));
        self.wall_end.set(Some(wall_end));
        self.cancelled.set(Some(cancelled));
        self.check_at(cpu)
    }

    /// Makes the isolate stop. The first reason stays.
    pub(crate) fn stop(&self, stop: Stop) {
        if self.stop.get().is_none() {
            self.stop.set(Some(stop));
        }
    }

    /// Why the isolate has to stop, if it has.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.stop.get()
    }

    /// Looks at the clocks. Whether the engine has to stop.
    pub(crate) fn check(&self) -> bool {
        self.check_at(thread_cpu())
    }

    fn check_at(&self, cpu: Duration) -> bool {
        if self.stop.get().is_some() {
            return true;
        }
        let cancelled = self.cancelled.take();
        let is_cancelled = cancelled
            .as_ref()
            .is_some_and(|flag| flag.load(Ordering::Relaxed));
        self.cancelled.set(cancelled);
        if is_cancelled {
            self.stop(Stop::Cancelled);
        } else if cpu >= self.cpu_end.get() {
            self.stop(Stop::Cpu);
        } else if self.wall_end.get().is_some_and(|end| Instant::now() >= end) {
            self.stop(Stop::Wall);
        }
        self.stop.get().is_some()
    }

    fn take(&self, bytes: usize) -> bool {
        let used = self.used.get().saturating_add(bytes);
        if used > self.limit {
            self.stop(Stop::Memory);
            return false;
        }
        true
    }
}

/// The C library's memory, metered. What is above the limit isn't given, and stops the isolate: code that catches the
/// exception doesn't go on.
pub(crate) struct Heap(pub(crate) Rc<Meter>);

impl Heap {
    fn given(&self, pointer: *mut u8) -> *mut u8 {
        if pointer.is_null() {
            self.0.stop(Stop::Memory);
        } else {
            // SAFETY: it was just given.
            let size = unsafe { libc::malloc_usable_size(pointer.cast()) };
            self.0.used.set(self.0.used.get() + size);
        }
        pointer
    }

    /// # Safety
    /// The pointer was given by this heap and isn't used any more.
    unsafe fn taken(&self, pointer: *mut u8) {
        // SAFETY: as the caller promises.
        let size = unsafe { libc::malloc_usable_size(pointer.cast()) };
        self.0.used.set(self.0.used.get().saturating_sub(size));
    }
}

// SAFETY: all is the C library's own memory, which is aligned for every type and as long as `malloc_usable_size` says.
unsafe impl Allocator for Heap {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        if !self.0.take(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: every size may be asked for.
        self.given(unsafe { libc::malloc(size) }.cast())
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        if !self.0.take(count.saturating_mul(size)) {
            return std::ptr::null_mut();
        }
        // SAFETY: every size may be asked for.
        self.given(unsafe { libc::calloc(count, size) }.cast())
    }

    unsafe fn dealloc(&mut self, pointer: *mut u8) {
        // SAFETY: the pointer is one that was given, as the caller promises.
        unsafe {
            self.taken(pointer);
            libc::free(pointer.cast());
        }
    }

    unsafe fn realloc(&mut self, pointer: *mut u8, size: usize) -> *mut u8 {
        if pointer.is_null() {
            return self.alloc(size);
        }
        // SAFETY: the pointer is one that was given, as the caller promises. It stays as it was where no memory is given.
        unsafe {
            let old = libc::malloc_usable_size(pointer.cast());
            if size == 0 {
                self.dealloc(pointer);
                return std::ptr::null_mut();
            }
            if size > old && !self.0.take(size - old) {
                return std::ptr::null_mut();
            }
            let moved: *mut u8 = libc::realloc(pointer.cast(), size).cast();
            if moved.is_null() {
                self.0.stop(Stop::Memory);
                return moved;
            }
            self.0.used.set(self.0.used.get().saturating_sub(old));
            self.given(moved)
        }
    }

    unsafe fn usable_size(pointer: *mut u8) -> usize {
        // SAFETY: the pointer is one that was given, as the caller promises.
        unsafe { libc::malloc_usable_size(pointer.cast()) }
    }
}
