//! Bodies on their way through: passed on piece by piece, as fast as the other side takes them, with a bound on how
//! long the sending side may pause. Of trailers go on what `headers` lets through, and hyper lets through what `Trailer` has announced.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{Either, Empty, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::client::Client;
use crate::fairness::{Throttle, Turn};
use crate::files::FileBody;
use crate::kept::Copying;
use crate::leases::Visit;
use crate::limits::Limits;
use crate::slow::Slow;
use crate::tally::Meter;
use crate::trailers;
use crate::upstream::FromProgram;

/// The body of a response: a page of ours or a file, or what the tenant's program sends.
/// Boxed, as it is moved often.
pub(crate) type Body = Either<Either<Full<Bytes>, Pin<Box<FileBody>>>, Pin<Box<Paced<FromProgram>>>>;

/// The body of a request on its way to a program: none, or what the client sends.
/// Boxed, as it is moved often and most requests have none.
pub(crate) type ToProgram = Either<Empty<Bytes>, Pin<Box<Paced<Incoming>>>>;

/// A page of ours.
pub(crate) fn page(bytes: Bytes) -> Body {
    Either::Left(Either::Left(Full::new(bytes)))
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The sending side paused for too long, or sent too little in this time.
    #[error("the body stalled for {0:?}")]
    Stalled(Duration),
    /// The sending side's connection failed.
    #[error(transparent)]
    Read(#[from] hyper::Error),
}

/// Tells from outside how far a body has come, for who waits for what follows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<Step>>);

/// How far a body has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    /// When the last piece was passed on.
    pub(crate) at: Option<Instant>,
    /// Whether it broke off because its sender paused.
    pub(crate) stalled: bool,
    /// Whether it broke off because what came is no body, or nothing came any more.
    pub(crate) broken: bool,
}

impl Progress {
    /// How far it has come by now.
    pub(crate) fn get(&self) -> Step {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, step: Step) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }
}

/// A body whose sender may not pause for longer than `stall` while it is being waited for, or be too slow in that time.
#[derive(Debug)]
pub(crate) struct Paced<B> {
    inner: B,
    stall: Duration,
    /// Made when first needed, then only moved: most bodies never pause.
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
    progress: Option<Progress>,
    /// What is kept of it.
    copy: Option<Copying>,
    meter: Meter,
    throttle: Option<Throttle>,
    slow: Slow,
    least_bytes_per_s: u32,
    _held: Option<Held>,
}

/// What a response occupies until its body is through or dropped: the client's request, the slot's visit and, unless it
/// lasts, the place at the program.
pub(crate) type Held = (Client, Option<Visit>, Option<Turn>);

impl<B> Paced<B> {
    /// A request's body.
    pub(crate) fn request(inner: B, limits: &Limits, meter: Meter, progress: Progress) -> Self {
        let least_bytes_per_s = limits.slowest_bytes_per_s;
        Self { progress: Some(progress), least_bytes_per_s, ..Self::new(inner, limits.request_stall, meter) }
    }

    /// Its sender may pause for this long, and be as slow as it likes: both sides talk when they have something to say.
    pub(crate) fn patiently(self, stall: Duration) -> Self {
        Self { stall, least_bytes_per_s: 0, ..self }
    }

    /// A response's body, which keeps the slot's visit and the client's request until its end, and may leave a copy.
    pub(crate) fn response(
        inner: B,
        stall: Duration,
        (meter, throttle): (Meter, Option<Throttle>),
        held: Held,
        copy: Option<Copying>,
    ) -> Self {
        Self { copy, throttle, _held: Some(held), ..Self::new(inner, stall, meter) }
    }

    fn new(inner: B, stall: Duration, meter: Meter) -> Self {
        Self {
            inner,
            stall,
            timer: None,
            armed: false,
            progress: None,
            copy: None,
            meter,
            throttle: None,
            slow: Slow::default(),
            least_bytes_per_s: 0,
            _held: None,
        }
    }

    /// Whether the pause has become too long; arms the timer at the pause's begin.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.stall;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.armed {
            timer.as_mut().reset(deadline);
            self.armed = true;
            self.slow.waits(Instant::now());
        }
        timer.as_mut().poll(cx)
    }

    /// A body that has come to its end is not asked for more.
    fn go_on_copying<E>(&mut self, frame: &Option<Result<Frame<Bytes>, E>>)
    where
        B: HttpBody,
    {
        let copy = self.copy.take();
        let copy = match frame {
            None => return copy.map_or((), Copying::finish),
            Some(Ok(frame)) => copy.and_then(|copy| copy.add(frame.data_ref()?)),
            Some(Err(_)) => None,
        };
        match copy {
            Some(copy) if self.inner.is_end_stream() => copy.finish(),
            copy => self.copy = copy,
        }
    }

    fn stalled(&self) -> BodyError {
        self.note(true, false);
        BodyError::Stalled(self.stall)
    }

    fn note(&self, stalled: bool, broken: bool) {
        if let Some(progress) = &self.progress {
            progress.set(Step { at: Some(Instant::now()), stalled, broken });
        }
    }
}

impl<B> HttpBody for Paced<B>
where
    B: HttpBody<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(throttle) = &mut self.throttle {
            ready!(throttle.poll_ready(cx));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            return self.poll_stalled(cx).map(|()| Some(Err(self.stalled())));
        };
        self.armed = false;
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let (window, least) = (self.stall, self.least_bytes_per_s);
            if self.slow.moved(bytes, window, least) {
                return Poll::Ready(Some(Err(self.stalled())));
            }
        }
        self.note(false, matches!(frame, Some(Err(_))));
        if self.copy.is_some() {
            self.go_on_copying(&frame);
        }
        Poll::Ready(match frame {
            Some(Ok(frame)) if frame.is_data() => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.meter.count(bytes);
                if let Some(throttle) = &self.throttle {
                    throttle.count(bytes);
                }
                Some(Ok(frame))
            }
            Some(Ok(frame)) => frame.into_trailers().ok().map(|mut fields| {
                trailers::keep(&mut fields);
                Ok(Frame::trailers(fields))
            }),
            None => None,
            Some(Err(e)) => Some(Err(e.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::{Tally, Way};
    use http_body_util::BodyExt;
    use kennel_model::SlotId;

    /// Gives its pieces, then pauses for ever.
    struct Stuck(Vec<Frame<Bytes>>);

    impl HttpBody for Stuck {
        type Data = Bytes;
        type Error = hyper::Error;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
            self.0.pop().map_or(Poll::Pending, |f| Poll::Ready(Some(Ok(f))))
        }
    }

    fn meter() -> Meter {
        Tally::new().meter(SlotId::new(0).unwrap(), Way::In)
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_an_error_and_shows() {
        let progress = Progress::default();
        let inner = Stuck(vec![Frame::data("x".into())]);
        let mut body = Paced::request(inner, &Limits::default(), meter(), progress.clone());
        assert!(progress.get().at.is_none());
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert!(progress.get().at.is_some() && !progress.get().stalled);
        assert!(matches!(body.frame().await, Some(Err(BodyError::Stalled(_)))));
        assert!(progress.get().stalled);
    }

    #[tokio::test(start_paused = true)]
    async fn trailers_that_claim_nothing_go_on() {
        let mut fields = hyper::HeaderMap::new();
        for name in ["x-sum", "content-length", "x-forwarded-for"] {
            fields.insert(name, "1".parse().unwrap());
        }
        let inner = Stuck(vec![Frame::trailers(fields), Frame::data("x".into())]);
        let mut body = Paced::request(inner, &Limits::default(), meter(), Progress::default());
        assert!(body.frame().await.unwrap().unwrap().is_data());
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-sum"]);
    }
}
