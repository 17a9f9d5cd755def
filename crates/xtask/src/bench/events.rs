//! Waiting for many sockets at once.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::Context;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::clock::SECOND;

const BATCH: usize = 256;

/// What is waited for.
pub(super) struct Events {
    epoll: OwnedFd,
    seen: Vec<Event>,
}

/// Something that happened to a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Happened {
    /// The number under which the source was added.
    pub(super) token: u64,
    /// It can be written to again.
    pub(super) writable: bool,
    /// It can be read, or has ended.
    pub(super) readable: bool,
}

impl Events {
    /// Nothing yet.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC).context("no epoll")?,
            seen: Vec::with_capacity(BATCH),
        })
    }

    /// Waits for this source to become readable.
    pub(super) fn add(&self, source: impl AsFd, token: u64) -> anyhow::Result<()> {
        epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::IN)?;
        Ok(())
    }

    /// Waits for it to become writable as well, or no longer.
    pub(super) fn want_write(&self, source: impl AsFd, token: u64, want: bool) -> anyhow::Result<()> {
        let flags = if want {
            EventFlags::IN | EventFlags::OUT
        } else {
            EventFlags::IN
        };
        epoll::modify(&self.epoll, source, EventData::new_u64(token), flags)?;
        Ok(())
    }

    /// Waits for this source no longer.
    pub(super) fn remove(&self, source: impl AsFd) -> anyhow::Result<()> {
        epoll::delete(&self.epoll, source)?;
        Ok(())
    }

    /// Waits for something to happen, at most so many nanoseconds (for ever without a limit); nothing may have.
    pub(super) fn wait(&mut self, limit: Option<u64>) -> anyhow::Result<Vec<Happened>> {
        self.seen.clear();
        let limit = limit.map(timespec);
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.seen),
            limit.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.seen.iter().map(|event| happened(*event)).collect())
    }
}

fn happened(event: Event) -> Happened {
    let (flags, data) = (event.flags, event.data);
    Happened {
        token: data.u64(),
        writable: flags.contains(EventFlags::OUT),
        readable: flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR),
    }
}

fn timespec(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(nanoseconds / SECOND).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanoseconds % SECOND).unwrap_or_default(),
    }
}

/// An alarm clock that an [`Events`] can wait for, far finer than its own limit of milliseconds.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: OwnedFd,
    set: Cell<u64>,
}

impl Alarm {
    /// Set to never.
    pub(super) fn new() -> anyhow::Result<Self> {
        // The kernel may be late by 50 us otherwise, to wake several sleepers at once.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let timer = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Self {
            timer,
            set: Cell::new(0),
        })
    }

    /// Rings at this time of the monotonic clock, which is yet to come; 0 is never. Replaces what was set, and what
    /// had rung.
    pub(super) fn set(&self, at: u64) -> anyhow::Result<()> {
        if self.set.replace(at) == at {
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: timespec(0),
            it_value: timespec(at),
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

/// Makes this process end when the one that started it does.
pub(super) fn end_with_parent() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("could not tie ourselves to our parent")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::clock::now;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn an_alarm_and_a_socket_are_heard() {
        let mut events = Events::new().unwrap();
        let (mut here, there) = UnixStream::pair().unwrap();
        let alarm = Alarm::new().unwrap();
        events.add(&there, 7).unwrap();
        events.add(&alarm, 8).unwrap();
        assert!(events.wait(Some(0)).unwrap().is_empty());
        here.write_all(b"x").unwrap();
        let seen = events.wait(None).unwrap();
        assert!(seen.len() == 1 && seen[0].token == 7 && seen[0].readable && !seen[0].writable);
        events.want_write(&there, 7, true).unwrap();
        assert!(events.wait(None).unwrap()[0].writable);
        events.want_write(&there, 7, false).unwrap();
        let due = now() + 2_000_000;
        alarm.set(due).unwrap();
        while !events.wait(None).unwrap().iter().any(|one| one.token == 8) {}
        assert!(now() >= due);
    }
}
