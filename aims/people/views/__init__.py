"""The pages of people: sign-in and enrolment, one's own page, and the admin's list."""
