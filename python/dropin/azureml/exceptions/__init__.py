"""What the drop-in raises. Scripts catch these by their Azure ML names."""


class AzureMLException(Exception):
    """The base of all."""

    def __init__(self, message="", **kwargs):
        super().__init__(message)
        self.message = message


class UserErrorException(AzureMLException):
    """The call itself is wrong: an argument, a file that is not there."""


class RunEnvironmentException(AzureMLException):
    """This process does not belong to a run."""


class ServiceException(AzureMLException):
    """The service refused a request, or could not be reached for long."""

    def __init__(self, message="", status_code=None, code=None):
        super().__init__(message)
        self.status_code = status_code
        self.code = code
