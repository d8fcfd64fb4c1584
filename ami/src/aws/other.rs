//! The services of which little is needed: STS for who we are, SSM for where others look up the latest AMI.

use aws_sdk_ssm::types::ParameterType;

use super::table::Call;
use super::{Aws, Fault};

impl Aws {
    /// The account whose credentials these are.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn account(&self) -> Result<String, Fault> {
        let answer = self.call(Call::GetCallerIdentity, || self.sts.get_caller_identity().send()).await?;
        answer.account.ok_or_else(|| Fault::incomplete(Call::GetCallerIdentity, "account"))
    }

    /// Reads a parameter.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn parameter(&self, path: &str) -> Result<String, Fault> {
        let answer = self.call(Call::GetParameter, || self.ssm.get_parameter().name(path).send()).await?;
        let value = answer.parameter.and_then(|parameter| parameter.value);
        value.ok_or_else(|| Fault::incomplete(Call::GetParameter, "value"))
    }

    /// Writes an AMI's id to a parameter; AWS checks that there is such an AMI.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn put_parameter(&self, path: &str, ami: &str) -> Result<(), Fault> {
        self.call(Call::PutParameter, || {
            self.ssm
                .put_parameter()
                .name(path)
                .value(ami)
                .r#type(ParameterType::String)
                .data_type("aws:ec2:image")
                .overwrite(true)
                .send()
        })
        .await
        .map(drop)
    }
}
