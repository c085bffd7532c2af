"""What does a row of a text file with columns say?"""
