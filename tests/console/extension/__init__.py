"""The kinds of the admin's tests as an extension package: processes of their own load them too."""
