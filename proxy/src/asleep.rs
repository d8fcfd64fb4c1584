//! Which requests do not wake a program that is asleep, and what they get instead. For one that is awake all of them are
//! requests like any other.
//!
//! | a request | gets |
//! |---|---|
//! | a load balancer's health check: GET, HEAD or OPTIONS, known by its User-Agent; for any host name | 200, or 503 when the program's last start failed |
//! | `/.well-known/acme-challenge/…` | 404: what is pending by control's own orders has been answered before (`challenges`), and a program that asks for a certificate is awake |
//! | GET, HEAD `/robots.txt`, `/favicon.ico`, without query and Authorization | the program's last answer; while there is none the first GET wakes, others get 503 with `Retry-After` |
//! | a crawler, known by its User-Agent, where `--crawlers wait` is set | 503 with `Retry-After` |
//! | any other | wakes |
//!
//! Who claims to be one of these gets what they get, which does no harm to anybody but himself. What does not name a site of
//! this host, a scan of its address for one, has been answered before. Robots that come because a person wants to see the
//! site are visitors: previews of links, and monitors, whom a made-up answer would mislead.

use hyper::Method;
use hyper::header::{AUTHORIZATION, USER_AGENT};
use hyper::http::request::Parts;
use kennel_model::routes::Crawlers;

/// What kind of request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For a person, as far as one can tell.
    Visit,
    /// A load balancer's.
    HealthCheck,
    /// A certificate authority's.
    Challenge,
    /// For what browsers and crawlers ask of every site by themselves.
    Usual,
    /// A crawler's, for a page.
    Crawler,
}

/// What a sleeping program's request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The program is woken for it.
    Wake,
    /// 200, as nothing is wrong.
    Fine,
    /// 404.
    NotFound,
    /// What the program answered last; if that is not known, the first wakes.
    Kept,
    /// 503 with `Retry-After`.
    Later,
}

/// A file that is asked for of every site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    /// `/robots.txt`
    Robots,
    /// `/favicon.ico`
    Favicon,
}

/// Begins of the User-Agents of load balancers' health checks: Elastic Load Balancing, Route 53, Google Cloud, Kubernetes,
/// Azure (two), Envoy, HAProxy, Consul, Cloudflare.
const HEALTH_CHECKS: [&str; 10] = [
    "elb-healthchecker/",
    "amazon-route53-health-check-service",
    "googlehc/",
    "kube-probe/",
    "load balancer agent",
    "edge health probe",
    "envoy/hc",
    "haproxy/",
    "consul health check",
    "mozilla/5.0 (compatible;cloudflare-healthchecks/",
];
/// Crawlers whose name does not say so.
const CRAWLERS: [&str; 8] =
    ["googleother", "slurp", "ia_archiver", "heritrix", "nutch", "scrapy", "meta-externalagent", "httrack"];
/// Robots by name that come because a person wants to see the site, and a telephone.
const NO_CRAWLERS: [&str; 12] = [
    "uptime",
    "pingdom",
    "statuscake",
    "monitor",
    "twitterbot",
    "telegrambot",
    "discordbot",
    "slackbot",
    "linkedinbot",
    "redditbot",
    "skypeuripreview",
    "cubot",
];
/// No User-Agent is looked at further than this.
const LONGEST_AGENT: usize = 512;

impl Kind {
    /// Of a request, by its head alone.
    pub(crate) fn of(head: &Parts) -> Self {
        let agent = head.headers.get(USER_AGENT).map_or(&b""[..], |v| v.as_bytes());
        let agent = String::from_utf8_lossy(&agent[..agent.len().min(LONGEST_AGENT)]).to_ascii_lowercase();
        let checks = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if checks && HEALTH_CHECKS.iter().any(|name| agent.starts_with(name)) {
            return Self::HealthCheck;
        }
        if head.uri.path().starts_with("/.well-known/acme-challenge/") {
            return Self::Challenge;
        }
        match File::asked(head) {
            Some(_) => Self::Usual,
            None if is_crawler(&agent) => Self::Crawler,
            None => Self::Visit,
        }
    }

    /// What it gets of a program that is asleep.
    pub(crate) fn verdict(self, crawlers: Crawlers) -> Verdict {
        match (self, crawlers) {
            (Self::HealthCheck, _) => Verdict::Fine,
            (Self::Challenge, _) => Verdict::NotFound,
            (Self::Usual, _) => Verdict::Kept,
            (Self::Crawler, Crawlers::Wait) => Verdict::Later,
            (Self::Crawler, Crawlers::Wake) | (Self::Visit, _) => Verdict::Wake,
        }
    }
}

impl File {
    /// The one with this path.
    pub(crate) fn by_path(path: &str) -> Option<Self> {
        match path {
            "/robots.txt" => Some(Self::Robots),
            "/favicon.ico" => Some(Self::Favicon),
            _ => None,
        }
    }

    /// The one that a request is for, in the way in which anybody asks for it.
    pub(crate) fn asked(head: &Parts) -> Option<Self> {
        let file = Self::by_path(head.uri.path()).filter(|_| head.uri.query().is_none())?;
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        (reads && !head.headers.contains_key(AUTHORIZATION)).then_some(file)
    }
}

/// By a word that ends as crawlers' names do, or one of the others.
fn is_crawler(agent: &str) -> bool {
    if NO_CRAWLERS.iter().any(|name| agent.contains(name)) {
        return false;
    }
    let mut words = agent.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| ["bot", "crawler", "spider"].iter().any(|end| word.ends_with(end)))
        || CRAWLERS.iter().any(|name| agent.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    const BROWSER: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
    const GOOGLE: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

    fn kind(method: &str, target: &str, agent: &str) -> Kind {
        let request = Request::builder().method(method).uri(target).header(USER_AGENT, agent);
        Kind::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn visitors_wake() {
        for (method, target) in [
            ("GET", "/"),
            ("POST", "/robots.txt"),
            ("GET", "/robots.txt?v=2"),
            ("GET", "/blog/robots.txt"),
            ("DELETE", "/favicon.ico"),
            ("GET", "/.well-known/security.txt"),
        ] {
            assert_eq!(kind(method, target, BROWSER), Kind::Visit, "{method} {target}");
        }
        for crawlers in [Crawlers::Wake, Crawlers::Wait] {
            assert_eq!(Kind::Visit.verdict(crawlers), Verdict::Wake);
        }
        let request = Request::get("/robots.txt").header(AUTHORIZATION, "Basic eA==");
        assert_eq!(Kind::of(&request.body(()).unwrap().into_parts().0), Kind::Visit);
        let odd = Request::get("/").header(USER_AGENT, &b"\xff\xfebot"[..]);
        assert_eq!(Kind::of(&odd.body(()).unwrap().into_parts().0), Kind::Crawler);
    }

    #[test]
    fn health_checks_do_not() {
        for agent in [
            "ELB-HealthChecker/2.0",
            "GoogleHC/1.0",
            "kube-probe/1.31",
            "Amazon-Route53-Health-Check-Service (ref 1; report http://amzn.to/1vsZADi)",
            "Load Balancer Agent",
            "Envoy/HC",
            "Consul Health Check",
        ] {
            for (method, target) in [("GET", "/"), ("HEAD", "/robots.txt"), ("OPTIONS", "*")] {
                assert_eq!(kind(method, target, agent), Kind::HealthCheck, "{agent}");
            }
            assert_eq!(kind("POST", "/", agent), Kind::Visit, "{agent}");
        }
        assert_eq!(kind("GET", "/", "not ELB-HealthChecker/2.0"), Kind::Visit);
        assert_eq!(Kind::HealthCheck.verdict(Crawlers::Wake), Verdict::Fine);
    }

    #[test]
    fn challenges_do_not() {
        for target in ["/.well-known/acme-challenge/x", "/.well-known/acme-challenge/"] {
            assert_eq!(kind("GET", target, BROWSER), Kind::Challenge);
        }
        assert_eq!(Kind::Challenge.verdict(Crawlers::Wake), Verdict::NotFound);
    }

    #[test]
    fn the_usual_files_are_kept() {
        for agent in [BROWSER, GOOGLE, ""] {
            assert_eq!(kind("GET", "/robots.txt", agent), Kind::Usual);
            assert_eq!(kind("HEAD", "/favicon.ico", agent), Kind::Usual);
        }
        assert_eq!(Kind::Usual.verdict(Crawlers::Wait), Verdict::Kept);
    }

    #[test]
    fn crawlers_do_as_the_operator_says() {
        for agent in [
            GOOGLE,
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
            "Mozilla/5.0 (compatible; Baiduspider/2.0)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "Mozilla/5.0 (compatible; Yahoo! Slurp)",
            "CCBot/2.0 (https://commoncrawl.org/faq/)",
            "my-crawler",
        ] {
            assert_eq!(kind("GET", "/about", agent), Kind::Crawler, "{agent}");
        }
        assert_eq!(Kind::Crawler.verdict(Crawlers::Wake), Verdict::Wake);
        assert_eq!(Kind::Crawler.verdict(Crawlers::Wait), Verdict::Later);
    }

    #[test]
    fn who_comes_for_a_person_is_no_crawler() {
        for agent in [
            BROWSER,
            "",
            "curl/8.9.1",
            "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36",
            "Twitterbot/1.0",
            "facebookexternalhit/1.1",
            "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "both/1.0 robotics",
        ] {
            assert_eq!(kind("GET", "/", agent), Kind::Visit, "{agent}");
        }
    }
}
