"""What a mail asks for, from the mail itself. Pure: no Django, no database, no clock."""
