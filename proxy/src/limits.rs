//! Every limit of the proxy in one place, with its unit and its reason. Nothing here is measured or enforced;
//! each module takes what it needs. A host with other needs changes a number here and nowhere else.
//!
//! Two limits are hyper's own: a request or response has at most 100 header fields (431 otherwise; setting the
//! number would move the parser's table to the heap), and a request target at most 65 534 bytes (414).

use std::time::Duration;

/// See each field; [`Limits::default`] is what ships.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Client connections open at once, tunnels included. Beyond it new ones wait in the kernel's backlog: they
    /// are late, not refused. Measured: some 50 KiB each while a request passes, so 200 MiB at the very worst.
    pub client_connections: usize,
    /// Of these, how many one address may hold (of IPv6, one network of 64 bits); half of what a slot may have in flight,
    /// so that no client alone takes all of a host or of a tenant. Beyond it new ones are closed. Enough for the browsers
    /// behind one office's address, and for a load balancer, which uses each connection for many requests.
    pub address_connections: usize,
    /// Requests of one slot in flight at once, those that wait and those that last (WebSockets, event streams) among them, so
    /// that one slow tenant cannot hold every connection. Beyond it: 503. How many of them its program has at a time is
    /// the tenant's own bound.
    pub slot_requests: u32,
    /// Requests that may wait for one slot to start, or for their turn. Beyond it: 503 with `Retry-After`, which spreads the
    /// crowd.
    pub slot_waiting: u32,
    /// Bytes of the heads of those: what a waiting request holds beside its connection, as its body is not read before.
    /// Beyond it: 503 with `Retry-After`. The heads of all that may wait, at the usual size of some KiB.
    pub slot_waiting_bytes: u32,
    /// How long a request waits for its turn. Beyond it: 503 with `Retry-After`. Visitors give up at about this time.
    pub turn_wait: Duration,
    /// How far ahead of an even rate a tenant's requests, and a client's, may come: as many at once as are allowed in this
    /// time. A page comes with all that belongs to it at once.
    pub rate_ahead: Duration,
    /// Clients whose rates are known at once, some 40 bytes each.
    pub rate_clients: usize,
    /// Idle upstream connections kept per slot, all workers' together: as many requests as a busy tenant has in flight at a time, or every answer that
    /// comes with others closes a connection that the next request has to make again (measured with 64 clients and 32 kept: one
    /// in four). They are kept for seconds only, see [`Limits::upstream_idle`].
    pub idle_per_slot: usize,
    /// Idle upstream connections kept in all, each a descriptor and some 10 KiB.
    pub idle_total: usize,

    /// Requests on one connection of HTTP/2 to a program, if the program itself does not take fewer (RFC 9113, 6.5.2).
    pub h2c_requests: u32,
    /// Such connections per slot; beyond it requests wait for their turn on one of them. Together they take what one slot may have in
    /// flight.
    pub h2c_per_slot: usize,
    /// Such connections that are kept in all, each a descriptor; beyond it one lasts as long as its request.
    pub h2c_total: usize,
    /// Bytes of one answer that such a program may send before the client has taken any: what the connection's other answers
    /// do not wait for.
    pub h2c_request_bytes: u32,

    /// Answers that are kept per slot for when its program is asleep: two files of eight names.
    pub kept_per_slot: usize,
    /// Bytes of one such answer's body: a favicon of many sizes.
    pub kept_answer_bytes: usize,
    /// Bytes of all such answers together: some 8 KiB for each slot of the usual pool.
    pub kept_bytes: usize,

    /// Files of releases that are kept open, all sites' together: a descriptor each. Beyond it all that are not being sent are closed.
    pub static_open_files: usize,
    /// Bytes of a file that is kept in memory instead: an icon, a small script; it is answered without a system call.
    pub static_small_bytes: u64,
    /// Bytes of all such files together; as the files that are open.
    pub static_kept_bytes: usize,
    /// Names of one release that are remembered, and as many that there is nothing by.
    pub static_names: usize,
    /// Bytes of a file that are read at a time: what the processor's nearest caches hold, and twice a connection's turn.
    pub static_piece_bytes: usize,
    /// Threads of each worker that read from the disk what the kernel does not have in memory. They end when there is nothing to read.
    pub static_threads: usize,

    /// Requests of one connection of HTTP/2 in flight at once; browsers expect 100 or more (RFC 9113, 6.5.2).
    pub http2_streams: u32,
    /// Bytes of one request's body that a client of HTTP/2 may send before the program has taken any: an upload from 100 ms away
    /// then comes with some 10 Mbit/s.
    pub http2_stream_bytes: u32,
    /// The same for all requests of its connection together: what one connection can make us keep.
    pub http2_connection_bytes: u32,
    /// Bytes of one response that wait for a client of HTTP/2 to take them; then the program has to wait.
    pub http2_send_bytes: usize,
    /// Requests that a client of HTTP/2 has taken back before we have looked at them; then its connection ends ("rapid reset").
    pub http2_resets: usize,
    /// Requests of one such connection that break the protocol; then it ends.
    pub http2_faults: usize,
    /// Records of one slot's requests in the access log, a second in the long run; what is over is counted only. More than
    /// a small site has visitors, and what control writes of ten slots at once in a few hundredths of a processor's time.
    pub slot_records_a_second: u32,
    /// How many of them may come at once: a page with all that belongs to it, for several visitors. All together they are
    /// within what the socket to control holds, so that one slot's do not push out another's.
    pub slot_records_at_once: u32,

    /// Bytes that a connection may write before all others that can go on have had their turn: what a small page waits
    /// for beside so many large ones. Too few would cost more in turns than in copying.
    pub turn_bytes: usize,
    /// Bytes of a request's head. Four times what browsers send with full cookies.
    pub request_head_bytes: usize,
    /// Bytes of a response's head: programs set larger headers (policies, many cookies) than browsers.
    pub response_head_bytes: usize,
    /// Bytes of a table's JSON: all routes that control publishes, with pages; some 4000 certificates.
    pub snapshot_bytes: u64,

    /// From accept, or from the last response's end, until the next request's head is complete; twice that where it comes
    /// in pieces late. Longer than the 60 s
    /// after which load balancers drop idle connections, so that they never meet one that we have just closed. A slow
    /// head costs no more than an idle connection, so one limit does for both.
    pub request_head: Duration,
    /// From accept to the end of the PROXY protocol's header, which a load balancer sends at once.
    pub proxy_header: Duration,
    /// From accept to the end of TLS' handshake: two round trips, and a signature on a busy machine.
    pub tls_handshake: Duration,
    /// A client's connection without a request gives back its buffers after one to two of these: long enough that a busy one
    /// never does, short enough that it does not matter for how many one has memory.
    pub park: Duration,
    /// Bytes a second that a client has to send of a request's body, or to take of what is sent to it, in the time in which it
    /// is waited for: slower ones hold a place for nothing. A hundredth of what a bad mobile connection does. Looked at
    /// whenever it was waited for as long as it may pause.
    pub slowest_bytes_per_s: u32,
    /// A client's pause inside a request's body, while the program is ready to read more.
    pub request_stall: Duration,
    /// How long what a client still sends is thrown away when it has had its answer in the midst of it and is told nothing more: enough
    /// for the answer to arrive, after which most stop.
    pub linger: Duration,
    /// A peer, client or program, that takes none of the bytes we have for it.
    pub write_stall: Duration,
    /// From the last byte of the request to the first of the response.
    pub response_head: Duration,
    /// A program's pause inside a response's body. Event streams are silent for long.
    pub response_stall: Duration,
    /// A tunnel (WebSocket) without a byte either way is closed after one to two of these.
    pub tunnel_idle: Duration,
    /// How long after a slot's last request its lease is given back. While it is held requests pass without a word to init;
    /// what it costs a tenant's way to sleep is at most this.
    pub lease_idle: Duration,
    /// A connection attempt over loopback that gets no answer: the program's backlog is full.
    pub connect: Duration,
    /// How long an idle upstream connection is kept. Node.js closes its own after 5 s, so ours must end before.
    pub upstream_idle: Duration,
    /// Pause after the first connection attempt of a start; doubles up to [`Limits::poll_longest`].
    pub poll_first: Duration,
    /// The longest pause between connection attempts of a start: what a first visitor may lose at most.
    pub poll_longest: Duration,
    /// The same where a start is found out by asking a path, which costs the program more than a connection.
    pub ask_longest: Duration,
    /// From a question whether the program is ready to the head of its answer; then it is asked again.
    pub ask: Duration,
    /// How long after a program began to listen its port is not trusted to stay: some bind it to see whether it is free, and
    /// again for good. Within this, a request that it breaks off unanswered is sent once more, if that does no harm.
    pub settling: Duration,
    /// Upper bound on a route's `start_timeout_ms`, and on the wait for a start's turn; browsers give up at about this time.
    pub start_longest: Duration,
    /// From `Drain` to exit, whatever is still in flight.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_connections: 4096,
            address_connections: 256,
            slot_requests: 512,
            slot_waiting: 256,
            slot_waiting_bytes: 1 << 20,
            turn_wait: Duration::from_secs(30),
            rate_ahead: Duration::from_secs(5),
            rate_clients: 65_536,
            idle_per_slot: 128,
            idle_total: 1024,
            h2c_requests: 100,
            h2c_per_slot: 6,
            h2c_total: 256,
            h2c_request_bytes: 64 << 10,
            kept_per_slot: 16,
            kept_answer_bytes: 128 << 10,
            kept_bytes: 8 << 20,
            static_open_files: 512,
            static_small_bytes: 16 << 10,
            static_kept_bytes: 8 << 20,
            static_names: 512,
            static_piece_bytes: 64 << 10,
            static_threads: 4,
            http2_streams: 100,
            http2_stream_bytes: 128 << 10,
            http2_connection_bytes: 256 << 10,
            http2_send_bytes: 64 << 10,
            http2_resets: 20,
            http2_faults: 100,
            slot_records_a_second: 100,
            slot_records_at_once: 200,
            turn_bytes: 32 << 10,
            request_head_bytes: 32 << 10,
            response_head_bytes: 64 << 10,
            snapshot_bytes: kennel_model::routes::MAX_TABLE_BYTES,
            request_head: Duration::from_secs(75),
            proxy_header: Duration::from_secs(5),
            tls_handshake: Duration::from_secs(10),
            park: Duration::from_secs(1),
            slowest_bytes_per_s: 200,
            request_stall: Duration::from_secs(30),
            linger: Duration::from_secs(5),
            write_stall: Duration::from_secs(60),
            response_head: Duration::from_secs(60),
            response_stall: Duration::from_secs(300),
            tunnel_idle: Duration::from_secs(600),
            lease_idle: Duration::from_secs(1),
            connect: Duration::from_secs(5),
            upstream_idle: Duration::from_secs(4),
            poll_first: Duration::from_millis(2),
            poll_longest: Duration::from_millis(50),
            ask_longest: Duration::from_millis(500),
            ask: Duration::from_secs(5),
            settling: Duration::from_secs(5),
            start_longest: Duration::from_secs(120),
            drain: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Descriptors needed when every limit is reached at once.
    pub fn descriptors(&self) -> usize {
        const OWN: usize = 64;
        2 * self.client_connections + self.idle_total + self.h2c_total + self.static_open_files + OWN
    }

    /// Lowers the number of client connections until everything fits into `available` descriptors.
    pub fn fit_descriptors(&mut self, available: usize) {
        let excess = self.descriptors().saturating_sub(available);
        self.client_connections = self.client_connections.saturating_sub(excess.div_ceil(2)).max(1);
        self.address_connections = self.address_connections.min(self.client_connections.div_ceil(4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_descriptors_mean_fewer_clients() {
        let mut limits = Limits::default();
        let wanted = limits.client_connections;
        limits.fit_descriptors(limits.descriptors());
        assert_eq!(limits.client_connections, wanted);
        limits.fit_descriptors(2048);
        assert!(limits.client_connections < wanted && limits.descriptors() <= 2048);
        assert!(limits.address_connections <= limits.client_connections.div_ceil(4));
    }
}
