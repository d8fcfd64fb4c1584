//! A connection to a program and what drives it: the task of the request that it serves, so that neither a request nor its
//! answer goes from task to task. Where an answer begins while its request's body still comes, or protocols are switched, a task of its
//! own drives it on, since then both ways have to go on without each other. Connections are made by `connect` and kept by `pool`.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use kennel_model::SlotId;

use crate::body::ToProgram;
use crate::h2c::Place;
use crate::lent::Owner;
use crate::plain::{Kept, Plain, Wire};
use crate::replay::Replay;
use crate::shared::Shared;

/// In the first the user says that it wants more, in the second the driver has fetched it. More would be at others' cost.
const TURNS: u32 = 2;

/// hyper's half that reads and writes.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection to a program.
pub(crate) struct Upstream {
    sender: SendRequest<ToProgram>,
    /// None once the connection has ended.
    driver: Option<Driver>,
    bell: Arc<Bell>,
    /// The bell's, for the driver.
    for_driver: Waker,
    /// The bell's, for who uses the connection.
    for_user: Waker,
    /// What there is for the driver is from its user.
    from_user: bool,
    /// Of what hyper reads and writes.
    owner: Owner<Replay<Wire>>,
    /// Where its program listens.
    port: u16,
}

/// Wakes the task that uses the connection, but not while it is at it: what the driver and its user say to each other
/// is heard without another turn of the task, and the driver is polled only when there is something for it.
struct Bell {
    task: Mutex<Waker>,
    /// The task is at it.
    inside: AtomicBool,
    /// There is something for the driver.
    driver: AtomicBool,
    /// There is something for its user.
    user: AtomicBool,
}

struct ForDriver(Arc<Bell>);
struct ForUser(Arc<Bell>);

impl Wake for ForDriver {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.driver.store(true, Ordering::Release);
        self.0.ring();
    }
}

impl Wake for ForUser {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.user.store(true, Ordering::Release);
        self.0.ring();
    }
}

impl Bell {
    fn ring(&self) {
        if !self.inside.load(Ordering::Acquire) {
            self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }

    fn is_for(&self, task: &Waker) {
        let mut now = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !now.will_wake(task) {
            now.clone_from(task);
        }
    }
}

impl Upstream {
    /// A connection after its handshake.
    pub(crate) fn new(
        sender: SendRequest<ToProgram>,
        driver: impl Future<Output = hyper::Result<()>> + Send + 'static,
        owner: Owner<Replay<Wire>>,
        port: u16,
    ) -> Self {
        let bell = Arc::new(Bell {
            task: Mutex::new(Waker::noop().clone()),
            inside: AtomicBool::new(false),
            driver: AtomicBool::new(true),
            user: AtomicBool::new(false),
        });
        let for_driver = Waker::from(Arc::new(ForDriver(bell.clone())));
        let for_user = Waker::from(Arc::new(ForUser(bell.clone())));
        Self {
            sender,
            driver: Some(Box::pin(driver)),
            bell,
            for_driver,
            for_user,
            from_user: false,
            owner,
            port,
        }
    }

    /// Polls the connection, and what waits for it, until neither has news for the other.
    fn drive<T>(&mut self, cx: &Context<'_>, mut what: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.bell.is_for(cx.waker());
        self.bell.inside.store(true, Ordering::Release);
        let mut turns = 0;
        let polled = loop {
            turns += 1;
            self.poll_driver();
            self.bell.user.store(false, Ordering::Release);
            self.from_user = !self.bell.driver.load(Ordering::Acquire);
            let polled = what(&mut Context::from_waker(&self.for_user));
            if polled.is_ready() || turns == TURNS || !self.bell.driver.load(Ordering::Acquire) {
                break polled;
            }
        };
        self.bell.inside.store(false, Ordering::Release);
        // Whoever rang meanwhile is heard at the next turn: of who goes on with what is ready, or of who still waits.
        if polled.is_pending()
            && (self.bell.driver.load(Ordering::Acquire) || self.bell.user.load(Ordering::Acquire))
        {
            cx.waker().wake_by_ref();
        }
        polled
    }

    fn poll_driver(&mut self) {
        if self.bell.driver.swap(false, Ordering::AcqRel)
            && let Some(driver) = &mut self.driver
            && driver.as_mut().poll(&mut Context::from_waker(&self.for_driver)).is_ready()
        {
            self.driver = None;
        }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// hyper's, with the request where nothing of it was sent.
    pub(crate) async fn send(
        &mut self,
        request: Request<ToProgram>,
    ) -> Result<Response<Incoming>, TrySendError<Request<ToProgram>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| self.drive(cx, |cx| answer.as_mut().poll(cx))).await
    }

    /// Whether the next request can be sent at once. Looks at what has happened since it was driven last.
    pub(crate) fn is_usable(&mut self) -> bool {
        self.poll_driver();
        self.driver.is_some() && self.sender.is_ready()
    }

    /// The bare connection, if the next request can be sent. hyper is asked first, which finds fault with what has come unasked.
    pub(crate) fn into_plain(mut self) -> Option<Plain> {
        self.bell.driver.store(true, Ordering::Release);
        let is_usable = self.is_usable();
        let wire = self.owner.take_back()?.into_inner()?;
        is_usable.then_some(Plain::of(wire, self.port))
    }

    /// Where its program listens.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Drives it until the next request can be sent; answers whether one can.
    async fn ready(&mut self) -> bool {
        poll_fn(|cx| match self.drive(cx, |_| Poll::<()>::Pending) {
            _ if self.driver.is_none() => Poll::Ready(false),
            _ if self.sender.is_ready() => Poll::Ready(true),
            _ => Poll::Pending,
        })
        .await
    }

    /// Drives it to its end, in a task of its own.
    pub(crate) fn switch(mut self) {
        let end = poll_fn(move |cx| {
            _ = self.drive(cx, |_| Poll::<()>::Pending);
            if self.driver.is_none() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::spawn(end);
    }

    /// Gives it back to the pool: at once, or as soon as the request and its answer are through, if ever.
    pub(crate) fn give_back(mut self, shared: Arc<Shared>, slot: SlotId) {
        self.bell.is_for(Waker::noop());
        if self.driver.is_none() {
            return;
        }
        if self.sender.is_ready() {
            if self.from_user {
                // That the last of the body was taken is no news for a connection that is idle.
                self.bell.driver.store(false, Ordering::Release);
            }
            return self.keep(&shared, slot);
        }
        tokio::spawn(async move {
            if self.ready().await {
                self.bell.is_for(Waker::noop());
                self.keep(&shared, slot);
            }
        });
    }

    /// One to another program than the slot's is of no more use.
    fn keep(self, shared: &Shared, slot: SlotId) {
        if self.port == shared.awake.port(slot) {
            shared.pool.put(slot, Kept::Hypers(self));
        }
    }
}

/// The body of an answer, and the connection that it comes over.
pub(crate) struct FromProgram {
    incoming: Incoming,
    /// Driven here, until the body is through.
    upstream: Option<(Upstream, Arc<Shared>, SlotId)>,
    /// Driven elsewhere, and kept until the body is through.
    _place: Option<Place>,
    ended: bool,
    /// Why it broke off; told when what came before has left.
    broken: Option<hyper::Error>,
}

impl FromProgram {
    /// One whose connection is given back at its end.
    pub(crate) fn over(incoming: Incoming, upstream: Upstream, shared: Arc<Shared>, slot: SlotId) -> Self {
        let upstream = Some((upstream, shared, slot));
        Self { incoming, upstream, _place: None, ended: false, broken: None }
    }

    /// One whose connection is driven elsewhere.
    pub(crate) fn alone(incoming: Incoming) -> Self {
        Self { incoming, upstream: None, _place: None, ended: false, broken: None }
    }

    /// One whose connection is others' as well.
    pub(crate) fn shared(incoming: Incoming, place: Place) -> Self {
        Self { incoming, upstream: None, _place: Some(place), ended: false, broken: None }
    }
}

impl HttpBody for FromProgram {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self { incoming, upstream, ended, broken, .. } = &mut *self;
        if let Some(error) = broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = match upstream {
            Some((upstream, ..)) => upstream.drive(cx, |cx| Pin::new(&mut *incoming).poll_frame(cx)),
            None => Pin::new(incoming).poll_frame(cx),
        };
        match polled {
            Poll::Ready(Some(Err(error))) => {
                // hyper gives up at once what it has not sent by then.
                *broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => {
                *ended = matches!(polled, Poll::Ready(None));
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for FromProgram {
    /// What is not through is not waited for: its connection is closed.
    fn drop(&mut self) {
        if let Some((upstream, shared, slot)) = self.upstream.take()
            && (self.ended || self.incoming.is_end_stream())
        {
            upstream.give_back(shared, slot);
        }
    }
}
