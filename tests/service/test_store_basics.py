async def test_x(database):
    assert await database.read(lambda tx: 1) == 1
